"""Opens the built page in headless Chromium: for tests, numbers, a screenshot.

    python docs/demo/browse_page.py --page outputs/page --output docs/page.png

writes the screenshot of the README. Needs Chromium and Playwright, as the tests
of the page do.
"""

import argparse
import contextlib
import functools
import http.server
import shutil
import threading

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# No requests of the browser's own. Containers have no sandbox and no GPU.
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
NO_GPU = ("--disable-gpu",)
# A GPU computed by the CPU, slow but with the same interface.
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word; isolated pages may use threads."""

    isolated = False

    def end_headers(self):
        if self.isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format, *args):
        del format, args  # the browser reports what fails


class IsolatedHandler(Handler):
    """Serves pages that are isolated from other origins."""

    isolated = True


@contextlib.contextmanager
def served(folder, isolated=False):
    """Serves a folder on this machine; yields the address of the page.

    Args:
        folder: path of the built page.
        isolated: bool, whether the page is isolated from other origins, which
            browsers demand for threads. Defaults to `False`.
    """
    handler = IsolatedHandler if isolated else Handler
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def launch(playwright, gpu=NO_GPU):
    """Starts headless Chromium.

    Args:
        playwright: of `playwright.sync_api.sync_playwright`.
        gpu: flags, `NO_GPU` or `SOFTWARE_GPU`.

    Returns:
        A Playwright browser.
    """
    return playwright.chromium.launch(
        executable_path=CHROMIUM, args=[*FLAGS, *gpu]
    )


def wait_until_ready(page):
    """Returns once the page has painted what its controls say."""
    page.locator("#gallery[aria-busy=false]").wait_for(timeout=60_000)


def screenshot(browser, address, args):
    """Writes a picture of the whole page, with images and moving particles."""
    page = browser.new_page(
        viewport={"width": args.width, "height": 800},
        color_scheme="dark" if args.dark else "light",
    )
    page.goto(address)
    page.locator(f"#models [value={args.model}]").click()
    wait_until_ready(page)
    page.locator(f"#classes [value='{args.label}']").click()
    page.locator("#particles").scroll_into_view_if_needed()
    while int(page.locator("#step-count").inner_text()) < args.steps:
        page.wait_for_timeout(20)
    page.get_by_role("button", name="Pause").click()
    wait_until_ready(page)
    page.screenshot(path=args.output, full_page=True)


def main():
    """Opens the page and writes the screenshot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--page", default="outputs/page")
    parser.add_argument("--output", default="docs/page.png")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=1120)
    parser.add_argument("--model", default="cifar10_mlp")
    parser.add_argument("--label", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with served(args.page) as address, sync_playwright() as playwright:
        screenshot(launch(playwright), address, args)


if __name__ == "__main__":
    main()

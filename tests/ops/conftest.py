import pytest

from pairs_by_hand import Case


@pytest.fixture(
    params=[(False, False), (True, True), (False, True)],
    ids=["plain", "weighted", "excluded"],
)
def case(request):
    return Case(*request.param)

"""Image files of a folder: listed, decoded, cropped, and streamed."""

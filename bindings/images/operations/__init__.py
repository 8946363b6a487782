"""What is done to an image, in the limited process: Pillow on one frame at a time."""

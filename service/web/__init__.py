"""The pages for browsers, with all their files: the drawing page and the API documentation."""

"""The page in a real Chromium, drawn on by pointer events.

`drawings` has the digits, `page` what a person does and sees.
"""

"""Sphinx: the manual.  `sphinx-build -W docs docs/_build` in an environment where zs3 is installed."""

import sys
from pathlib import Path

import zs3

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "zs3"
author = "the zs3 authors"
release = version = zs3.__version__

extensions = ["from_the_code", "command_lines"]
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "alabaster"
html_theme_options = {"description": "An S3 server over plain files", "fixed_sidebar": True, "page_width": "1100px"}
html_show_copyright = False

man_pages = [
    ("zs3", "zs3", "look after an S3 server over plain files", author, 1),
    ("twistd-zs3", "twistd-zs3", "an S3 server over plain files", author, 8),
]
man_show_urls = True

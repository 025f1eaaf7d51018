"""One page per question, charts as data.

A section is a module with one function, `section(ask) -> Section | None`: it asks the store in
SQL and gives charts with the numbers behind them. `sections.py` lists them in the page's order;
to add a page, write its module and add it there.
"""

from edgewise.report.only import Only
from edgewise.report.page import write
from edgewise.report.sections import SECTIONS

__all__ = ["SECTIONS", "Only", "write"]

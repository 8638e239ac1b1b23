"""Results joined into one self-contained HTML page."""

from .html_report import write_html_report

__all__ = ['write_html_report']

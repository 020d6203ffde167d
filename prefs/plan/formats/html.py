"""The plan as a page that stands alone, or as what a page of another may show."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify

from prefs.plan.document import (
    Block,
    Bullets,
    Checks,
    Facts,
    Heading,
    Paragraph,
    Table,
    document,
)
from prefs.plan.formats.inline import one_line, parts
from prefs.plan.model import Plan

# One file that can be sent to somebody: it asks for nothing, and follows the reader's theme.
_STYLE = mark_safe(
    """
:root { color-scheme: light dark; --ink: light-dark(#1c2330, #e4e8ef);
  --soft: light-dark(#566072, #a3adbd); --line: light-dark(#d9dee6, #353d4a);
  --paper: light-dark(#ffffff, #14181f); --panel: light-dark(#f5f7fa, #1c222c);
  --done: light-dark(#0f6b3a, #6fd39b); --progress: light-dark(#1f5fbf, #86b6ff);
  --blocked: light-dark(#9a3b00, #ffae70); }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 1rem; text-wrap: balance; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .75rem; padding-bottom: .35rem;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 1.0625rem; margin: 1.75rem 0 .5rem; }
p, ul, dl, .scroll { margin: 0 0 .9rem; }
ul { padding-left: 1.25rem; } li { margin: .2rem 0; }
code { font: .875em ui-monospace, monospace; background: var(--panel); padding: .1em .3em;
  border-radius: 3px; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
h1 + p + dl { background: var(--panel); padding: 1rem 1.25rem; border-radius: 6px; }
.checks { list-style: none; padding: 0; }
.checks li { display: grid; grid-template-columns: 4.25rem 1fr; margin: .45rem 0; }
.checks b { font-weight: 600; font-size: .875rem; line-height: 1.75; }
.met b, .done { color: var(--done); } .open b, .blocked { color: var(--blocked); }
.checks small { grid-column: 2; color: var(--soft); font-size: .875rem; overflow-wrap: anywhere; }
.status { font-size: .8125rem; font-weight: 600; margin-left: .5rem; padding: .1rem .5rem;
  border: 1px solid currentColor; border-radius: 1rem; white-space: nowrap; }
.in-progress { color: var(--progress); } .not-started { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .9rem .45rem 0;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
td { min-width: 2ch; font-variant-numeric: tabular-nums; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; } }
@media print { main { max-width: none; } h2, h3 { break-after: avoid; } }
"""
)


def page(plan: Plan) -> SafeString:
    """A whole page, with its style in it."""
    return format_html(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n{}\n</main>\n</body>\n"
        "</html>\n",
        one_line(plan.title),
        _STYLE,
        body(plan),
    )


def body(plan: Plan) -> SafeString:
    """What stands in a page's main part."""
    numbers = count(1)
    return _joined("\n", (_block(block, next(numbers)) for block in document(plan)))


def _block(block: Block, number: int) -> SafeString:
    match block:
        case Heading(level, words, status):
            beside = ""
            if status:
                kind = slugify(status)
                beside = format_html(' <span class="status {}">{}</span>', kind, str(status))
            name, inside = f"s{number}", _inline(words)
            return format_html("<h{} id={}>{}{}</h{}>", level, name, inside, beside, level)
        case Paragraph(words):
            return format_html("<p>{}</p>", _inline(words))
        case Bullets(items):
            return format_html("<ul>{}</ul>", _each("<li>{}</li>", items))
        case Facts(pairs):
            rows = ((_inline(name), _inline(words)) for name, words in pairs)
            return format_html("<dl>{}</dl>", format_html_join("", "<dt>{}</dt><dd>{}</dd>", rows))
        case Checks():
            return _checks(block)
        case Table():
            return _table(block)


def _checks(block: Checks) -> SafeString:
    rows = (
        (
            "met" if each.met else "open",
            "met" if each.met else "open",
            _inline(each.text),
            _inline(each.figure),
        )
        for each in block.results
    )
    item = '<li class="{}"><b>{}</b><span>{}</span><small>{}</small></li>'
    return format_html('<ul class="checks">{}</ul>', format_html_join("", item, rows))


def _table(block: Table) -> SafeString:
    rows = ((_each("<td>{}</td>", row),) for row in block.rows)
    return format_html(
        '<div class="scroll" tabindex="0"><table><thead><tr>{}</tr></thead><tbody>{}</tbody>'
        "</table></div>",
        _each('<th scope="col">{}</th>', block.head),
        format_html_join("", "<tr>{}</tr>", rows),
    )


def _each(form: str, texts: Iterable[str]) -> SafeString:
    return format_html_join("", form, ((_inline(text),) for text in texts))


def _inline(text: str) -> SafeString:
    pieces = (format_html("<code>{}</code>" if code else "{}", part) for part, code in parts(text))
    return _joined("", pieces)


def _joined(between: str, pieces: Iterable[SafeString]) -> SafeString:
    return format_html_join(between, "{}", ((piece,) for piece in pieces))

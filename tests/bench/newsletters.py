"""Emails as campaigns send them, for the benchmarks of the sender and of what it makes of an email."""

from __future__ import annotations

_ARTICLE = """
<tr><td style="padding:0 24px 16px;font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:21px;color:#333">
<table role="presentation" cellpadding="0" cellspacing="0" border="0" width="100%"><tr><td width="120" valign="top">
<img src="https://cdn.example.com/spring/{n}.jpg" width="120" height="90" alt="Product {n}" style="display:block"></td>
<td style="padding-left:16px"><h3 style="margin:0 0 8px;font-size:16px">Grüße aus dem Frühling, Nummer {n}</h3>
<p style="margin:0 0 8px">Plain words that say something about the product, its price and why it is worth a look, in a
paragraph as long as they are in newsletters, with <b>some</b> emphasis and an &euro; sign, and then some more of it to
come to a usual length, because the ratio of text to markup is what decides how long all of this takes to rewrite.</p>
<a href="https://shop.example.com/products/{n}?utm_source=mail&amp;utm_campaign=spring" target="_blank"
style="color:#0066cc;text-decoration:none">See product {n}</a></td></tr></table></td></tr>
"""


def newsletter(size: int, name: str = "") -> str:
    """HTML of at least `size` bytes: tables, styles, an image and a link an article, as newsletters have them, and a
    greeting by name where there is one."""
    articles, length, n = [], 0, 0
    while length < size:
        articles.append(_ARTICLE.format(n=n))
        length += len(articles[-1].encode())
        n += 1
    return f"<!doctype html><html><body><p>Hello {name}</p><table>{''.join(articles)}</table></body></html>"

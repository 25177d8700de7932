"""What every answer of the page says besides its content."""

# Everything comes from here and nothing else is allowed: neither other hosts nor scripts or styles within the HTML.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
RETRY = {"Retry-After": "3"}

"""The click map: who clicked which link, drawn on the HTML that the platform declared for a variant."""

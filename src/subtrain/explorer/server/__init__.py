"""The explorer's web server: a typed JSON API over a study, and the page that uses it."""

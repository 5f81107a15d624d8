"""Answers to the page's questions as JSON has them: the server sends them, the single file holds them.

Nothing here needs a web server's packages. A question about what is not there raises InputError.
"""

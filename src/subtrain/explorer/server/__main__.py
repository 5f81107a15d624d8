"""Print the API's OpenAPI document, from which the front end's types are made."""

import json

from subtrain.explorer.open_studies import Library
from subtrain.explorer.server.app import make_app

print(json.dumps(make_app(Library({})).openapi(), indent=1))

"""`python -m subtrain`."""

from subtrain.cli.main import main

main()

"""The command line: typer commands; heavy imports happen inside them, so that --help stays quick."""

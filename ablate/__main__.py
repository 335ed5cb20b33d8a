"""`python -m ablate` is `ablate`."""

from ablate.cli.main import run

if __name__ == "__main__":
    run()

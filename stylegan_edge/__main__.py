"""`python -m stylegan_edge`."""

from stylegan_edge.cli import main

if __name__ == "__main__":
    main()

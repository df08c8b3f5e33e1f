"""Key arithmetic against published vectors and a second implementation."""

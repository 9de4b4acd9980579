"""Networks beside their originals."""

"""What a person wrote, as text and as a document; pure."""

"""What can be trained: each stage says what it starts from, its loss and how it is judged."""

"""What an environment should hold, what it holds, and whether the two agree."""

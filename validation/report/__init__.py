"""What a reader sees: charts, HTML, PDF, and their verification."""

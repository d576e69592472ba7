"""What every suite needs: a broker, what a registry has, processes with a time limit, and the table of results."""

"""Looking at runs: reads run folders only."""

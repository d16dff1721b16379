"""From one row to an item: pure, and the same in either process of a sync."""

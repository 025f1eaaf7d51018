"""What decisions are made from: profiles, where they come from, how they follow samples."""

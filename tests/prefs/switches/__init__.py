"""The two waffle switches turned by every hand, and what the guards say to each."""

"""Is it honest: one file per way to cheat, each a pure judgement of what one scripted run observed."""

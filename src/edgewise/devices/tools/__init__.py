"""Outputs of other people's benchmark tools, read: one file per tool, `registry` lists them.

A reader gets text whose encoding, line ends and log prefixes `text` has taken away, and gives one
`Reported` per run. What the tool did not say stays None.
"""

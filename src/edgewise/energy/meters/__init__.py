"""Meters: where joules come from. One file per kind of meter; `registry` lists them.

A kind finds its files on a device and turns their readings into a `Recording`; `energy.reckoning`
turns a recording and the moments of a measurement into joules, or refuses with a reason.
"""

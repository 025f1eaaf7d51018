"""The shaper's parts: when bytes pass (pure), an event loop, and the sockets that obey both."""

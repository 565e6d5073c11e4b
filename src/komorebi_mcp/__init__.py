"""Capture, memory and gateway server for the Model Context Protocol."""

"""Draw the plots of a report. ``plots`` draws loss and memory and calls the others.

``words`` draws the papers, ``scores`` the accuracy, ``adapter`` the adapter, in ``palette``'s colours.
"""

"""The pictures of a report: ``plots`` draws loss and memory and is the way in.

``words`` draws the papers, ``scores`` the accuracy, ``adapter`` the adapter, in ``palette``'s colours.
"""

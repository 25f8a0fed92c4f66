"""Triton kernels, the last part of the step; ``fused`` launches them, ``plain`` defines what each computes.

Common to all of them: pointers are to contiguous tensors unless a stride is passed; rows are read in
the compute dtype, sums are taken in float32 and the result is rounded once, when it is stored.
T: tokens, H: hidden width, S: AltUp's streams, D: width of a head, V: vocabulary. ``B…`` are block
sizes, powers of two, so a mask (``on``) cuts off what lies beyond the row.
"""

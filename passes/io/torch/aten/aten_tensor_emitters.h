// Emitters that stand in another file than their family's table.
#pragma once

#include "passes/io/torch/aten/aten_call.h"

namespace lathe::io::aten {

// aten_reordering.cc
Arguments emit_transpose(const AtenCall& call);
Arguments emit_transpose_2d(const AtenCall& call);
Arguments emit_transpose_last(const AtenCall& call);
Arguments emit_reverse_axes(const AtenCall& call);
Arguments emit_permute(const AtenCall& call);
Arguments emit_movedim(const AtenCall& call);

// aten_repetition.cc
Arguments emit_expand(const AtenCall& call);
Arguments emit_expand_as(const AtenCall& call);
Arguments emit_repeat(const AtenCall& call);
Arguments emit_repeat_interleave(const AtenCall& call);

// aten_windows.cc
Arguments emit_unfold(const AtenCall& call);
Arguments emit_im2col(const AtenCall& call);
Arguments emit_col2im(const AtenCall& call);

// aten_joining.cc
Arguments emit_cat(const AtenCall& call);
Arguments emit_stack(const AtenCall& call);
Arguments emit_hstack(const AtenCall& call);
Arguments emit_vstack(const AtenCall& call);
Arguments emit_dstack(const AtenCall& call);
Arguments emit_column_stack(const AtenCall& call);

// aten_splitting.cc
Arguments emit_split(const AtenCall& call);
Arguments emit_chunk(const AtenCall& call);
Arguments emit_tensor_split(const AtenCall& call);
Arguments emit_unbind(const AtenCall& call);

// aten_diagonal.cc
Arguments emit_diagonal(const AtenCall& call);
Arguments emit_diag(const AtenCall& call);
Arguments emit_diag_embed(const AtenCall& call);
Arguments emit_diagonal_scatter(const AtenCall& call);

// aten_scatter.cc
Arguments emit_scatter(const AtenCall& call);
Arguments emit_scatter_add(const AtenCall& call);
Arguments emit_scatter_reduce(const AtenCall& call);
Arguments emit_index_add(const AtenCall& call);
Arguments emit_index_copy(const AtenCall& call);
Arguments emit_index_fill(const AtenCall& call);
Arguments emit_masked_scatter(const AtenCall& call);

// aten_index_put.cc
Arguments emit_index_put(const AtenCall& call);

// aten_sampling.cc
Arguments emit_grid_sampler(const AtenCall& call);
Arguments emit_affine_grid(const AtenCall& call);

// aten_channels.cc
Arguments emit_pixel_shuffle(const AtenCall& call);
Arguments emit_pixel_unshuffle(const AtenCall& call);
Arguments emit_channel_shuffle(const AtenCall& call);

}  // namespace lathe::io::aten

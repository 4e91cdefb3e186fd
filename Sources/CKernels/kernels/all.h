// Every kernel for one instruction set. The includer defines CK_ISA, CK_FMA, CK_TILE_ROWS, CK_TILE_VECTORS.
#define CK_JOIN2(a, b) a##_##b
#define CK_JOIN(a, b) CK_JOIN2(a, b)
#define K(name) CK_JOIN(name, CK_ISA)

#include "vector.h"
// Order matters: later files use earlier ones.
#include "convert.h"
#include "norm.h"
#include "rows.h"
#include "rope.h"
#include "product.h"
#include "panel.h"
#include "attention.h"
#include "attention_backward.h"
#include "head.h"
#include "divergence.h"
#include "optimizer.h"
#include "adapter.h"

#define CK_QUOTE2(x) #x
#define CK_QUOTE(x) CK_QUOTE2(x)

const size_t CK_JOIN(ck_scratch, CK_ISA) = sizeof(K(attention_scratch)) > sizeof(K(backward_scratch))
    ? sizeof(K(attention_scratch))
    : sizeof(K(backward_scratch));

const ck_kernels CK_JOIN(ck_table, CK_ISA) = {
    .name = CK_QUOTE(CK_ISA),
    .block_columns = K(BLOCK),
    .pack_panel = K(pack_panel),
    .panel_product = K(panel_product),
    .panel_outer_product = K(panel_outer_product),
    .convert = K(convert),
    .exp = K(exp),
    .dot = K(dot),
    .embed = K(embed),
    .embed_backward = K(embed_backward),
    .rms_norm = K(rms_norm),
    .rms_norm_backward = K(rms_norm_backward),
    .add_bias = K(add_bias),
    .add = K(add),
    .add_scaled = K(add_scaled),
    .scale = K(scale),
    .add_rms_norm = K(add_rms_norm),
    .store_block = K(store_block),
    .column_sums = K(column_sums),
    .swiglu = K(swiglu),
    .swiglu_backward = K(swiglu_backward),
    .geglu = K(geglu),
    .geglu_backward = K(geglu_backward),
    .rope_and_cache = K(rope_and_cache),
    .rope_backward = K(rope_backward),
    .attention = K(attention),
    .attend_next = K(attend_next),
    .attention_backward = K(attention_backward),
    .panel_stats = K(panel_stats),
    .panel_cap = K(panel_cap),
    .panel_gradient = K(panel_gradient),
    .panel_gradient_capped = K(panel_gradient_capped),
    .panel_points = K(panel_points),
    .panel_divergence = K(panel_divergence),
    .panel_divergence_gradient = K(panel_divergence_gradient),
    .adamw = K(adamw),
    .move_average = K(move_average),
    .sum_of_squares = K(sum_of_squares),
    .sum = K(sum),
    .add_adapter = K(add_adapter),
};

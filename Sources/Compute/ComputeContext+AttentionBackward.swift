import CKernels
import Rules

extension ComputeContext {
    /// Gradient of ``ropeAndCache(qkv:shape:qNorm:kNorm:epsilon:rope:segments:layer:pool:into:)`` and
    /// ``attention(q:shape:rule:segments:layer:pool:into:logSumExp:)`` together.
    ///
    /// Groups are whole: from position 0 to the last continuation; their pages hold this layer's keys and values.
    /// Writes dqkv [T,(H+2KV)D] A for the rows of the groups, accumulates dQNorm and dKNorm, f32 and of the norms' sizes.
    package func attentionBackward(
        dOut: Tensor, out: Tensor, logSumExp: Tensor, qkv: Tensor, q: Tensor, shape: AttentionShape,
        qNorm: Tensor? = nil, kNorm: Tensor? = nil, epsilon: Float = 1e-6, rope: RopeTable?,
        rule: AttentionRule = AttentionRule(), groups: [AttentionGroup], layer: Int, pool: PagePool, into dqkv: Tensor,
        dQNorm: Tensor? = nil, dKNorm: Tensor? = nil
    ) {
        profile?.begin(.attentionGradient)
        defer { profile?.end() }
        precondition(dOut.type == pool.type && out.type == pool.type && q.type == pool.type, "attentionBackward: types")
        precondition(dqkv.type == pool.type && dqkv.count == qkv.count, "attentionBackward: dqkv")
        let gradient = scratch("attention.gradient", rows: qkv.rows, columns: qkv.columns)
        attentionGradients(
            dOut: dOut, out: out, logSumExp: logSumExp, q: q, shape: shape, rule: rule, groups: groups, layer: layer,
            pool: pool, into: gradient)
        rotationGradients(
            gradient, qkv: qkv, qNorm: qNorm, kNorm: kNorm, epsilon: epsilon, rope: rope,
            segments: groups.flatMap(\.segments), layer: layer, pool: pool, into: dqkv, dQNorm: dQNorm, dKNorm: dKNorm)
    }

    /// d [T,(H+2KV)D] f32: gradients of the rotated queries and keys and of the values.
    private func attentionGradients(
        dOut: Tensor, out: Tensor, logSumExp: Tensor, q: Tensor, shape: AttentionShape, rule: AttentionRule,
        groups: [AttentionGroup], layer: Int, pool: PagePool, into d: Tensor
    ) {
        var spans: [ck_span] = []
        var ranges: [(spans: Range<Int>, rows: Int)] = []
        for group in groups {
            precondition(group.isTree, "attentionBackward: segments start where those they continue end")
            let first = spans.count
            for node in group.nodes {
                let segment = node.segment
                let end = segment.startPosition + segment.count
                precondition(segment.pages.count * PagePool.pagePositions >= end, "segment without pages")
                precondition(segment.firstRow >= 0 && segment.rows.upperBound <= q.rows, "segment rows out of range")
                // The arrays stay alive and unchanged until the end of this function: see PagePool.withKernelView.
                let ids = segment.pages.withUnsafeBufferPointer { $0.baseAddress }
                spans.append(
                    ck_span(
                        ids: ids, row: Int64(segment.firstRow), count: Int64(segment.count),
                        position: Int64(segment.startPosition), descendants: Int64(node.descendants)))
            }
            ranges.append((first..<spans.count, group.nodes.reduce(0) { $0 + $1.segment.count }))
        }
        // Large groups first: the last item decides when all are done.
        ranges.sort { ($0.rows, $1.spans.lowerBound) > ($1.rows, $0.spans.lowerBound) }
        pool.withKernelView(layer: layer, of: groups, rule: rule) { kernelShape, table in
            spans.withUnsafeBufferPointer { spans in
                team.run(items: ranges.count * shape.keyValueHeads) { item, thread in
                    let range = ranges[item / shape.keyValueHeads].spans
                    kernels.attention_backward(
                        d.f32, dOut.bytes, out.bytes, logSumExp.f32, q.bytes, kernelShape, table,
                        spans.baseAddress.map { $0 + range.lowerBound }, Int64(range.count),
                        Int32(item % shape.keyValueHeads), threadScratch[thread].base)
                }
            }
        }
    }

    /// Undoes the rotation and the norms of queries and keys.
    private func rotationGradients(
        _ d: Tensor, qkv: Tensor, qNorm: Tensor?, kNorm: Tensor?, epsilon: Float, rope: RopeTable?,
        segments: [Segment], layer: Int, pool: PagePool, into dqkv: Tensor, dQNorm: Tensor?, dKNorm: Tensor?
    ) {
        var kernelRope = Self.kernelRope(rope, qNorm, kNorm, epsilon, pool.shape)
        makeAttentionItems(
            segments, rows: Self.rowsPerPartial, heads: 1, totalRows: qkv.rows,
            positions: rope?.positions ?? Int.max)
        // Both partial sums have the width of the wider one, that of the queries.
        let columns = kernelRope.whole ? pool.shape.queryColumns : pool.shape.headDimension
        let norms = scratch("attention.norms", rows: 2 * attentionItems.count, columns: columns)
        if dQNorm != nil || dKNorm != nil { norms.fill(0) }
        pool.withKernelView(layer: layer, of: segments) { shape, _ in
            withUnsafePointer(to: &kernelRope) { rope in
                attentionItems.withUnsafeBufferPointer { items in
                    team.run(items: items.count) { index, _ in
                        let item = items[index]
                        kernels.rope_backward(
                            dqkv.bytes, d.f32, qkv.bytes, shape, rope,
                            dQNorm == nil ? nil : norms.f32 + 2 * index * columns,
                            dKNorm == nil ? nil : norms.f32 + (2 * index + 1) * columns,
                            Int64(item.row), Int64(item.row + item.count), Int64(item.position))
                    }
                }
            }
        }
        for index in attentionItems.indices {
            if let dQNorm { kernels.add(dQNorm.f32, norms.f32 + 2 * index * columns, Int64(dQNorm.count)) }
            if let dKNorm {
                kernels.add(dKNorm.f32, norms.f32 + (2 * index + 1) * columns, Int64(dKNorm.count))
            }
        }
    }
}

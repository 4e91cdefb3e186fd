import CKernels
import Rules

/// A piece of attention work: some rows of one segment, for one KV head or all.
struct AttentionItem {
    var segment: Int
    var head: Int
    var row: Int
    var count: Int
    var position: Int
    var pages: UnsafePointer<Int32>
}

extension ComputeContext {
    /// Query rows in one item. The split does not change a row's bits.
    static let attentionRows = 16

    /// Checks the segments and fills `attentionItems`: pieces of `rows` rows (nil: whole segments) times `heads`.
    func makeAttentionItems(_ segments: [Segment], rows: Int?, heads: Int, totalRows: Int, positions: Int) {
        attentionItems.removeAll(keepingCapacity: true)
        for (index, segment) in segments.enumerated() where segment.count > 0 {
            let end = segment.startPosition + segment.count
            precondition(
                segment.firstRow >= 0 && segment.firstRow + segment.count <= totalRows, "segment rows out of range")
            precondition(segment.pages.count * PagePool.pagePositions >= end, "segment without pages for its positions")
            precondition(end <= positions, "position \(end - 1) past the rope table's \(positions)")
            // An array's elements do not move while `segments` is alive and unchanged: see PagePool.withKernelView.
            let pages = segment.pages.withUnsafeBufferPointer { $0.baseAddress }
            guard let pages else { continue }
            let step = rows ?? segment.count
            for from in stride(from: 0, to: segment.count, by: step) {
                for head in 0..<heads {
                    attentionItems.append(
                        AttentionItem(
                            segment: index, head: head, row: segment.firstRow + from,
                            count: min(step, segment.count - from), position: segment.startPosition + from,
                            pages: pages))
                }
            }
        }
    }

    /// The kernels' view of norms and rotation; checks their sizes.
    static func kernelRope(
        _ rope: RopeTable?, _ qNorm: Tensor?, _ kNorm: Tensor?, _ epsilon: Float, _ shape: AttentionShape
    ) -> ck_rope {
        let size = shape.headDimension
        precondition((rope?.rotaryDimension ?? 0) <= size, "rope: more columns than a head has")
        let isPerHead = qNorm?.count ?? size == size && kNorm?.count ?? size == size
        precondition(
            isPerHead
                || qNorm?.count ?? shape.queryColumns == shape.queryColumns
                    && kNorm?.count ?? shape.keyColumns == shape.keyColumns,
            "norms of queries and keys: sizes")
        return ck_rope(
            q_norm: qNorm.map { UnsafePointer($0.f32) }, k_norm: kNorm.map { UnsafePointer($0.f32) },
            epsilon: epsilon, whole: !isPerHead, cos: rope.map { UnsafePointer($0.cos.f32) },
            sin: rope.map { UnsafePointer($0.sin.f32) }, rotary_dim: Int32(rope?.rotaryDimension ?? 0))
    }

    /// Normalises (when norms are given) and rotates (when a rope is given) queries and keys; writes q, and k and v into
    /// the pages.
    ///
    /// qkv [T,(H+2KV)D] A, q [T,HD] A. Norms, f32: [1,D] of every head by itself, or [1,HD] and [1,KV D] of the whole
    /// queries and the whole keys. Half-split rotary form: pairs (i, i + R/2) of a head's first R elements, R being the
    /// rope's rotary dimension.
    package func ropeAndCache(
        qkv: Tensor, shape: AttentionShape, qNorm: Tensor? = nil, kNorm: Tensor? = nil, epsilon: Float = 1e-6,
        rope: RopeTable?, segments: [Segment], layer: Int, pool: PagePool, into q: Tensor
    ) {
        profile?.begin(.rope)
        defer { profile?.end() }
        precondition(pool.shape == shape && qkv.type == pool.type && q.type == pool.type, "ropeAndCache: types")
        precondition(qkv.columns == shape.fusedColumns && q.columns == shape.queryColumns, "ropeAndCache: columns")
        precondition(q.rows == qkv.rows, "ropeAndCache: rows")
        makeAttentionItems(segments, rows: 32, heads: 1, totalRows: qkv.rows, positions: rope?.positions ?? Int.max)
        var kernelRope = Self.kernelRope(rope, qNorm, kNorm, epsilon, shape)
        pool.withKernelView(layer: layer, of: segments) { shape, table in
            withUnsafePointer(to: &kernelRope) { rope in
                attentionItems.withUnsafeBufferPointer { items in
                    team.run(items: items.count) { index, _ in
                        let item = items[index]
                        kernels.rope_and_cache(
                            q.bytes, qkv.bytes, shape, rope, ck_pages(table: table, ids: item.pages),
                            Int64(item.row), Int64(item.row + item.count), Int64(item.position))
                    }
                }
            }
        }
    }

    /// Causal attention of q's rows over their sequences' pages, by the layer's rule.
    ///
    /// q and out [T,HD] A; logSumExp [T,H] f32 when given. A query's bits do not depend on its neighbours: one at a
    /// time, a whole segment or a split prefill agree.
    package func attention(
        q: Tensor, shape: AttentionShape, rule: AttentionRule = AttentionRule(), segments: [Segment], layer: Int,
        pool: PagePool, into out: Tensor, logSumExp: Tensor? = nil
    ) {
        profile?.begin(.attention)
        defer { profile?.end() }
        precondition(pool.shape == shape && q.type == pool.type && out.type == pool.type, "attention: types")
        precondition(q.columns == shape.queryColumns && out.count == q.count, "attention: shapes")
        precondition(logSumExp.map { $0.count == q.rows * shape.heads } ?? true, "attention: logSumExp's shape")
        makeAttentionItems(
            segments, rows: Self.attentionRows, heads: shape.keyValueHeads, totalRows: q.rows, positions: Int.max)
        pool.withKernelView(layer: layer, of: segments, rule: rule) { shape, table in
            attentionItems.withUnsafeBufferPointer { items in
                team.run(items: items.count) { index, thread in
                    let item = items[index]
                    kernels.attention(
                        out.bytes, logSumExp?.f32, q.bytes, shape, ck_pages(table: table, ids: item.pages),
                        Int32(item.head), Int64(item.row), Int64(item.row + item.count), Int64(item.position),
                        threadScratch[thread].base)
                }
            }
        }
    }

    /// ``ropeAndCache(qkv:shape:qNorm:kNorm:epsilon:rope:segments:layer:pool:into:)`` and
    /// ``attention(q:shape:rule:segments:layer:pool:into:logSumExp:)`` in one pass, with their bits, for segments of one
    /// row: the next token of each sequence.
    package func attendNext(
        qkv: Tensor, shape: AttentionShape, qNorm: Tensor? = nil, kNorm: Tensor? = nil, epsilon: Float = 1e-6,
        rope: RopeTable?, rule: AttentionRule = AttentionRule(), segments: [Segment], layer: Int, pool: PagePool,
        into out: Tensor
    ) {
        profile?.begin(.attention)
        defer { profile?.end() }
        precondition(pool.shape == shape && qkv.type == pool.type && out.type == pool.type, "attendNext: types")
        precondition(qkv.columns == shape.fusedColumns && out.columns == shape.queryColumns, "attendNext: columns")
        precondition(out.rows == qkv.rows, "attendNext: rows")
        precondition(segments.allSatisfy { $0.count == 1 }, "attendNext: a segment of several rows")
        makeAttentionItems(
            segments, rows: nil, heads: shape.keyValueHeads, totalRows: qkv.rows,
            positions: rope?.positions ?? Int.max)
        attendTasks.removeAll(keepingCapacity: true)
        for item in attentionItems {
            attendTasks.append(
                ck_attend(ids: item.pages, row: Int64(item.row), position: Int64(item.position), kv: Int32(item.head)))
        }
        // Several parts a thread, so that threads end together; long ones, because a part's first keys are not fetched
        // ahead.
        let parts = min(attendTasks.count, team.threads * 4)
        var kernelRope = Self.kernelRope(rope, qNorm, kNorm, epsilon, shape)
        pool.withKernelView(layer: layer, of: segments, rule: rule) { shape, table in
            withUnsafePointer(to: &kernelRope) { rope in
                attendTasks.withUnsafeBufferPointer { tasks in
                    team.run(items: parts) { part, thread in
                        let from = part * tasks.count / parts, to = (part + 1) * tasks.count / parts
                        guard let first = tasks.baseAddress else { return }
                        kernels.attend_next(
                            out.bytes, qkv.bytes, shape, rope, table, first + from, Int64(to - from),
                            threadScratch[thread].base)
                    }
                }
            }
        }
    }
}

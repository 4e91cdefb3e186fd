import CKernels
import Rules

/// A divergence of two distributions, as kernels compute it; what it is stands in `Distillation`.
package struct HeadDivergence: Sendable, Equatable {
    package enum Kind: Int32, Sendable, CaseIterable { case reverseKL, forwardKL, jensenShannon, skewKL, skewReverseKL }

    package var kind: Kind
    /// Beta or skew; of the first two it has no meaning.
    package var parameter: Float

    package init(_ kind: Kind, parameter: Float = 0) {
        self.kind = kind
        self.parameter = parameter
    }
}

/// The logits of a student and of its teacher for the same positions, over one vocabulary: what a divergence is taken
/// from, over all tokens.
package struct HeadComparison {
    package let divergence: HeadDivergence
    /// As ``ComputeContext/headLogprobs`` kept them, [T,V].
    let teacher: Tensor
    let teacherLogSumExp: [Float]
    /// The divergence at each position, in nats.
    package private(set) var values: [Double] = []
    /// The sum of what all tokens of a position are pulled by.
    private(set) var pulls: [Double] = []
    /// The weight of each position in the loss; set before the backward pass.
    package var weights: [Float]

    /// Compares.
    /// - Parameters:
    ///   - student, teacher: logits, as ``ComputeContext/headLogprobs`` kept them.
    ///   - head: the student's.
    package init(
        _ divergence: HeadDivergence, student: Tensor, logSumExp: [Float], teacher: Tensor, teacherLogSumExp: [Float],
        head: PackedMatrix, in context: ComputeContext
    ) {
        precondition(
            student.rows == teacher.rows && student.columns == teacher.columns && student.columns == head.outputs
                && logSumExp.count == student.rows && teacherLogSumExp.count == student.rows,
            "head comparison: shapes differ")
        context.profile?.begin(.comparison)
        defer { context.profile?.end() }
        self.divergence = divergence
        self.teacher = teacher
        self.teacherLogSumExp = teacherLogSumExp
        weights = [Float](repeating: 0, count: student.rows)
        let rows = student.rows, panels = head.panelCount
        let parts = context.scratch("head.divergence", rows: rows, columns: panels)
        let pullParts = context.scratch("head.pull", rows: rows, columns: panels)
        let chunks = RowChunks(rows: rows)
        if rows > 0 {
            context.team.run(items: chunks.count * panels) { item, _ in
                let panel = item / chunks.count, range = chunks[item % chunks.count], columns = head.panelRange(panel)
                let at = columns.lowerBound * rows + range.lowerBound * columns.count
                logSumExp.withUnsafeBufferPointer { lse in
                    teacherLogSumExp.withUnsafeBufferPointer { teacherLse in
                        guard let lse = lse.baseAddress, let teacherLse = teacherLse.baseAddress else { return }
                        context.kernels.panel_divergence(
                            divergence.kind.rawValue, divergence.parameter, student.f32 + at, teacher.f32 + at,
                            Int64(columns.count), lse + range.lowerBound, teacherLse + range.lowerBound,
                            parts.f32 + range.lowerBound * panels + panel,
                            pullParts.f32 + range.lowerBound * panels + panel, Int64(panels), Int64(range.count))
                    }
                }
            }
        }
        func sums(_ parts: Tensor) -> [Double] {
            (0..<rows).map { row in (0..<panels).reduce(0) { $0 + Double(parts.f32[row * panels + $1]) } }
        }
        values = sums(parts)
        pulls = sums(pullParts)
    }
}

extension ComputeContext {
    /// The first of some bytes as a tensor; valid until the next call.
    package func tensor(of bytes: ArraySlice<UInt8>, rows: Int, columns: Int, type: ElementType) -> Tensor {
        let tensor = scratch("hidden", rows: rows, columns: columns, type: type)
        precondition(bytes.count >= tensor.byteCount, "\(bytes.count) bytes for \(rows) x \(columns) numbers")
        bytes.withUnsafeBytes { source in
            if let start = source.baseAddress { tensor.bytes.copyMemory(from: start, byteCount: tensor.byteCount) }
        }
        return tensor
    }
}

/// What the backward pass of a comparison needs of each row, where kernels find it.
struct HeadComparisonRows {
    private let comparison: HeadComparison
    private let memory: Tensor
    private let targets: [Int32]
    private let hasUnits: Bool

    /// - Parameters:
    ///   - own: dL/d(log-probability of the target), one a row, beside the divergence.
    ///   - units: one a row where logits are capped, else none.
    init(
        _ comparison: HeadComparison, logSumExp: [Float], own: [Float], scales: [Float], units: [Float],
        targets: [Int32], in context: ComputeContext
    ) {
        let count = own.count
        self.comparison = comparison
        memory = context.scratch("head.comparison", rows: 7, columns: max(count, 1))
        self.targets = targets
        hasUnits = !units.isEmpty
        for row in 0..<count {
            let total = Double(comparison.weights[row]) * comparison.pulls[row] + Double(own[row])
            let values = [
                comparison.weights[row], Float(total), scales[row], hasUnits ? units[row] : 0, logSumExp[row],
                comparison.teacherLogSumExp[row], own[row],
            ]
            for (place, value) in values.enumerated() { memory.f32[place * memory.columns + row] = value }
        }
    }

    /// Writes dz of some rows and a panel's columns.
    /// - Parameter student: the panel's logits of these rows.
    func write(
        _ range: Range<Int>, of columns: Range<Int>, student: UnsafeMutablePointer<Float>,
        into dz: UnsafeMutableRawPointer, type: ElementType, rowStride: Int, factor: Float, _ context: ComputeContext
    ) {
        func array(_ place: Int) -> UnsafePointer<Float> { UnsafePointer(memory.f32 + place * memory.columns) }
        targets.withUnsafeBufferPointer { targets in
            var rows = ck_divergence_rows(
                weight: array(0), total: array(1), scale: array(2), unit: hasUnits ? array(3) : nil, lse: array(4),
                teacher_lse: array(5), own: array(6), targets: targets.baseAddress)
            let teacher = comparison.teacher
            let at = columns.lowerBound * teacher.rows + range.lowerBound * columns.count
            context.kernels.panel_divergence_gradient(
                comparison.divergence.kind.rawValue, comparison.divergence.parameter, dz, type.code, Int64(rowStride),
                student, teacher.f32 + at, Int64(columns.count), &rows, Int64(range.lowerBound), Int64(range.count),
                Int64(columns.lowerBound), factor)
        }
    }
}

import Glibc

/// The classes of tokens that the head is asked about, row by row: some tokens, each for itself, and all others together,
/// the tail, as one more, which is the last.
package struct HeadClasses: Sendable, Equatable {
    /// Row r lists ids[starts[r]..<starts[r + 1]]; none: its tail is the whole vocabulary.
    package let starts: [Int]
    /// Tokens, ascending in each row.
    package let ids: [Int32]
    /// Log-probability of each class, the rows' one after the other; none before the head has been asked.
    package internal(set) var logprobs: [Float] = []

    /// - Parameter rows: the tokens that each row lists, ascending.
    package init(rows: some Sequence<some Collection<Int32>>) {
        var starts = [0], ids: [Int32] = []
        for row in rows {
            precondition(zip(row, row.dropFirst()).allSatisfy(<), "head classes: tokens are not ascending")
            ids += row
            starts.append(ids.count)
        }
        self.starts = starts
        self.ids = ids
    }

    package var rowCount: Int { starts.count - 1 }
    /// Classes of all rows.
    package var count: Int { ids.count + rowCount }

    /// Where the classes of a row lie among those of all, the tail's last.
    package func range(row: Int) -> Range<Int> { starts[row] + row..<starts[row + 1] + row + 1 }

    /// Which of `ids` are tokens of a row within some columns of the vocabulary.
    func within(_ columns: Range<Int>, row: Int) -> Range<Int> {
        let listed = starts[row]..<starts[row + 1]
        guard !listed.isEmpty else { return listed }
        let first = place(of: columns.lowerBound, in: listed)
        return first..<place(of: columns.upperBound, in: first..<listed.upperBound)
    }

    /// The first of some of `ids` that is not below a column.
    private func place(of column: Int, in listed: Range<Int>) -> Int {
        var (low, high) = (listed.lowerBound, listed.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if Int(ids[middle]) < column { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// What a listed token's logit is while the statistics of the others are taken: exp of it is 0 beside any.
    static let nothing: Float = -1e30
}

/// What the classes are pulled by in the backward pass: dL/dz_j is pull_j - p_j sum(pulls) for a listed token j, and its
/// share p_j / P of that for a token of the tail, whose probability is P.
package struct HeadClassGradient: Sendable {
    let classes: HeadClasses
    let pulls: [Float]
    let targetLogprobs: [Float]

    /// - Parameters:
    ///   - classes: as the forward pass filled them.
    ///   - pulls: one a class, in their order.
    ///   - targetLogprobs: what the forward pass gave for the targets, one a row.
    package init(_ classes: HeadClasses, pulls: [Float], targetLogprobs: [Float]) {
        precondition(
            classes.logprobs.count == classes.count && pulls.count == classes.count
                && targetLogprobs.count == classes.rowCount, "head classes: counts differ")
        self.classes = classes
        self.pulls = pulls
        self.targetLogprobs = targetLogprobs
    }
}

/// The gradient of a head's logits where classes are pulled: dz_j = -coefficient p_j, but for points that have values of
/// their own.
struct HeadPoints {
    /// One a row.
    private(set) var coefficient: [Float] = []
    private(set) var points: HeadClasses
    /// dz of each of the points.
    private(set) var values: [Float] = []

    /// - Parameters:
    ///   - targets: one a row.
    ///   - pull: dL/d(log-probability of the target), one a row, which is added to what the classes are pulled by.
    init(_ gradient: HeadClassGradient, targets: [Int32], pull: [Float]) {
        var rows: [[Int32]] = []
        for row in targets.indices {
            let target = targets[row], own = Double(pull[row])
            let listed = gradient.classes.ids[gradient.classes.starts[row]..<gradient.classes.starts[row + 1]]
            let range = gradient.classes.range(row: row), tail = range.upperBound - 1
            let sum = range.reduce(own) { $0 + Double(gradient.pulls[$1]) }
            // Of each token of the tail for its probability. Where the tail has none, it is bounded: so is p_j times it.
            let share = Double(gradient.pulls[tail]) / exp(Double(gradient.classes.logprobs[tail]))
            let tailPull = gradient.pulls[tail] == 0 ? 0 : min(max(share, -Self.largestShare), Self.largestShare)
            coefficient.append(Float(sum - tailPull))
            var ids = Array(listed), values: [Float] = []
            for (place, id) in listed.enumerated() {
                let index = range.lowerBound + place
                let p = exp(Double(gradient.classes.logprobs[index]))
                values.append(Float(Double(gradient.pulls[index]) - p * sum + (id == target ? own : 0)))
            }
            if own != 0, !ids.contains(target) {
                let place = ids.firstIndex { $0 > target } ?? ids.count
                let p = exp(Double(gradient.targetLogprobs[row]))
                ids.insert(target, at: place)
                values.insert(Float(own - p * (sum - tailPull)), at: place)
            }
            rows.append(ids)
            self.values += values
        }
        points = HeadClasses(rows: rows)
    }

    private static let largestShare = 1e30

    /// Calls `body` for every row that has points within some columns, with their tokens and values.
    func write(
        _ rows: Range<Int>, of columns: Range<Int>,
        _ body: (_ row: Int, UnsafePointer<Int32>, UnsafePointer<Float>, _ count: Int) -> Void
    ) {
        points.ids.withUnsafeBufferPointer { ids in
            values.withUnsafeBufferPointer { values in
                guard let ids = ids.baseAddress, let values = values.baseAddress else { return }
                for row in rows {
                    let range = points.within(columns, row: row)
                    if !range.isEmpty { body(row, ids + range.lowerBound, values + range.lowerBound, range.count) }
                }
            }
        }
    }
}

/// The logits of classes, collected panel by panel, and the statistics of the tokens that are not listed.
struct ClassLogits {
    private let context: ComputeContext
    private let classes: HeadClasses
    private let listed: UnsafeMutablePointer<Float>
    private let tails: HeadStatistics

    init(_ context: ComputeContext, _ classes: HeadClasses, rows: Int, _ head: PackedMatrix) {
        precondition(classes.rowCount == rows, "head classes: counts differ")
        precondition(
            classes.ids.allSatisfy { $0 >= 0 && Int($0) < head.outputs }, "head classes: token outside the vocabulary")
        self.context = context
        self.classes = classes
        listed = context.scratch("head.listed", rows: 1, columns: max(classes.ids.count, 1)).f32
        tails = HeadStatistics(context, rows: rows, panels: head.panelCount, weighted: false, user: "head.tail")
    }

    /// Looks at the scaled logits of a panel [rows][columns], and leaves them as they are.
    /// - Parameter whole: the statistics of all tokens, those of this panel complete.
    func take(
        _ panel: Int, _ columns: Range<Int>, _ rows: Range<Int>, _ z: UnsafeMutablePointer<Float>,
        _ whole: HeadStatistics
    ) {
        for row in rows {
            let line = z + (row - rows.lowerBound) * columns.count
            let at = row * tails.maxima.columns + panel, own = classes.within(columns, row: row)
            guard !own.isEmpty else {
                tails.maxima.f32[at] = whole.maxima.f32[at]
                tails.sums.f32[at] = whole.sums.f32[at]
                continue
            }
            for index in own {
                let column = Int(classes.ids[index]) - columns.lowerBound
                listed[index] = line[column]
                line[column] = HeadClasses.nothing
            }
            tails.measure(line, columns.count, at: at, context)
            for index in own { line[Int(classes.ids[index]) - columns.lowerBound] = listed[index] }
        }
    }

    /// Log-probabilities of all classes, once all panels have been looked at.
    func logprobs(_ lse: [Float]) -> [Float] {
        var result: [Float] = []
        result.reserveCapacity(classes.count)
        for row in lse.indices {
            for index in classes.starts[row]..<classes.starts[row + 1] { result.append(listed[index] - lse[row]) }
            result.append(tails.tailLogprob(row: row, lse: lse[row]))
        }
        return result
    }
}

extension HeadStatistics {
    /// Takes the statistics of one row's panel of scaled logits.
    func measure(_ z: UnsafeMutablePointer<Float>, _ count: Int, at place: Int, _ context: ComputeContext) {
        var one: Float = 1
        context.kernels.panel_stats(
            z, Int64(count), Int64(count), &one, maxima.f32 + place, sums.f32 + place, nil, 1, 1)
    }

    /// The log-probability of the tokens whose statistics these are; -inf where there are none.
    /// - Parameter lse: log-sum-exp of all tokens.
    func tailLogprob(row: Int, lse: Float) -> Float {
        let value = combine(row: row).lse
        return value > HeadClasses.nothing / 2 ? min(value - lse, 0) : -.infinity
    }
}

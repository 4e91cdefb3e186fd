import CKernels
import Rules

/// The matrices of one expert, packed: gate and up [2 I, C], down [C, I]; or the transposes of both.
package struct ExpertMatrices {
    package let gateUp: PackedMatrix
    package let down: PackedMatrix

    package init(gateUp: PackedMatrix, down: PackedMatrix) {
        self.gateUp = gateUp
        self.down = down
    }
}

/// Which experts the rows of a batch go to: a place for each of a row's K experts, expert by expert, and within an
/// expert in the order of the rows.
struct ExpertRouting {
    /// [T, E] f32: the softmax of the router's logits; scratch memory.
    let probabilities: Tensor
    /// [T, K] row by row: the chosen experts in ascending order, their weights and their places.
    private(set) var experts: [Int32]
    private(set) var weights: [Float]
    private(set) var places: [Int32]
    /// [T K] place by place: whose it is, and with which weight.
    private(set) var rows: [Int32]
    private(set) var placeWeights: [Float]
    /// [E + 1]: the first place of each expert.
    private(set) var starts: [Int]

    /// Softmax of each row of `logits` [T, E] f32 over all experts, then its K largest, of equal ones the first.
    ///
    /// What a row chooses depends on that row alone.
    init(_ context: ComputeContext, logits: Tensor, rule: ExpertRule) {
        let count = logits.rows, all = logits.columns, chosen = rule.perRow
        precondition(logits.type == .f32 && chosen <= all, "routing: \(chosen) of \(all) experts")
        let probabilities = context.scratch("experts.probabilities", rows: count, columns: all)
        var experts = [Int32](repeating: 0, count: count * chosen)
        var weights = [Float](repeating: 0, count: count * chosen)
        let kernels = context.kernels
        experts.withUnsafeMutableBufferPointer { experts in
            weights.withUnsafeMutableBufferPointer { weights in
                guard let experts = experts.baseAddress, let weights = weights.baseAddress else { return }
                context.team.run(count: count, chunk: 16) { range, _ in
                    for row in range {
                        let p = probabilities.f32 + row * all
                        Self.softmax(logits.f32 + row * all, into: p, count: all, kernels)
                        Self.choose(p, count: all, rule, experts + row * chosen, weights + row * chosen)
                    }
                }
            }
        }
        self.probabilities = probabilities
        self.experts = experts
        self.weights = weights
        places = experts
        rows = experts
        placeWeights = weights
        starts = [Int](repeating: 0, count: all + 1)
        for expert in experts { starts[Int(expert) + 1] += 1 }
        for expert in 0..<all { starts[expert + 1] += starts[expert] }
        var next = starts
        for (index, expert) in experts.enumerated() {
            let place = next[Int(expert)]
            next[Int(expert)] += 1
            places[index] = Int32(place)
            rows[place] = Int32(index / chosen)
            placeWeights[place] = weights[index]
        }
    }

    /// The places of an expert.
    func range(_ expert: Int) -> Range<Int> { starts[expert]..<starts[expert + 1] }

    private static func softmax(
        _ z: UnsafePointer<Float>, into p: UnsafeMutablePointer<Float>, count: Int, _ kernels: ck_kernels
    ) {
        var top = z[0]
        for index in 1..<max(count, 1) where z[index] > top { top = z[index] }
        for index in 0..<count { p[index] = z[index] - top }
        kernels.exp(p, p, Int64(count))
        var sum: Float = 0
        for index in 0..<count { sum += p[index] }
        for index in 0..<count { p[index] /= sum }
    }

    private static func choose(
        _ p: UnsafePointer<Float>, count: Int, _ rule: ExpertRule, _ experts: UnsafeMutablePointer<Int32>,
        _ weights: UnsafeMutablePointer<Float>
    ) {
        // The largest so far, in descending order; of what is not a number the first stay, so that all are experts.
        var filled = 0
        for index in 0..<count {
            guard filled < rule.perRow || p[index] > p[Int(experts[filled - 1])] else { continue }
            var at = filled < rule.perRow ? filled : filled - 1
            while at > 0, p[index] > p[Int(experts[at - 1])] {
                experts[at] = experts[at - 1]
                at -= 1
            }
            experts[at] = Int32(index)
            filled = min(filled + 1, rule.perRow)
        }
        var chosen = UnsafeMutableBufferPointer(start: experts, count: filled)
        chosen.sort()
        var sum: Float = 0
        for index in 0..<filled {
            weights[index] = p[Int(experts[index])]
            sum += weights[index]
        }
        if rule.normalizesChosen { for index in 0..<filled { weights[index] /= sum } }
    }
}

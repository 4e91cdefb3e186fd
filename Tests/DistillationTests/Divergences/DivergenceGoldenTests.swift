import Distillation
import TestSupport
import Testing

/// What torch says in f64, by its own differentiation of the sources' formulas; made by scripts/golden/divergences.py.
@Suite struct DivergenceGoldenTests {
    private func expect(_ found: PositionDivergence, _ wanted: GoldenDivergences.Result, _ name: String) {
        #expect(abs(found.value - wanted.value) < 1e-13 * max(1, abs(wanted.value)), "\(name): \(found.value)")
        let largest = wanted.gradient.map(abs).max() ?? 0
        #expect(found.gradient.distance(to: wanted.gradient) < 1e-13 * max(1, largest), "\(name): \(found.gradient)")
    }

    @Test func valuesAndGradientsAreTorchs() throws {
        let positions = try GoldenDivergences.positions()
        #expect(positions.count == 4)
        for (index, position) in positions.enumerated() {
            let p = logSoftmax(position.student), q = logSoftmax(position.teacher)
            let lists = try [position.top, position.studentTop, position.unionTop].map {
                try #require(TokenClasses($0, vocabularySize: p.count))
            }
            #expect(Set(position.divergences.map(\.name)).count == 5)
            for expected in position.divergences {
                let name = "\(expected.name) \(index)"
                let divergence = try #require(expected.divergence, "\(name)")
                expect(divergence.position(student: p, teacher: q), expected.full, name)
                let results = [expected.classes, expected.studentClasses, expected.unionClasses]
                for (classes, wanted) in zip(lists, results) {
                    let found = divergence.position(student: classes.logprobs(p), teacher: classes.logprobs(q))
                    let gradient = classes.spread(found.gradient, student: p)
                    expect(
                        PositionDivergence(value: found.value, gradient: gradient), wanted,
                        "\(name) in classes \(classes.ids)")
                }
            }
        }
    }
}

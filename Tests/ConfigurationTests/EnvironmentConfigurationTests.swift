import Configuration
import Testing

@Suite struct EnvironmentConfigurationTests {
    /// An environment that there is not is refused where the configuration is read, with its line.
    @Test(arguments: [
        ("chess", "there is no 'chess'; choose calculator, guess, guess:limit=N, grid or grid:size=N"),
        ("guess:limit=1", "'guess:limit=1' takes limit=N, N from 2 to 1000000"),
        ("calculator:x=1", "there is no 'calculator:x=1'; choose calculator, guess"),
    ])
    func anUnknownEnvironmentHasItsLine(name: String, message: String) {
        let found = problems(minimal.replacing("data: {", with: "data: { environment: { name: \"\(name)\" },"))
        #expect(found.count == 1 && found[0].hasPrefix("run.yaml:") && found[0].contains("data.environment.name: "))
        #expect(found[0].contains(message), "\(found)")
        #expect(problems(minimal, ["data.environment.name=\(name)"]).first?.hasPrefix("--set: ") == true)
    }

    @Test func aKnownEnvironmentIsTaken() throws {
        let configuration = try parse(minimal, ["data.environment.name=guess:limit=9"])
        #expect(configuration.data.environment.name == "guess:limit=9")
    }
}

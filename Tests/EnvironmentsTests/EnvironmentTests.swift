import Environments
import Testing
import Wording

@Suite struct EnvironmentTests {
    private func begun<World: Environment>(_ world: World, seed: UInt64 = 7) -> World {
        var world = world
        world.reset(EpisodeStart(seed: seed))
        return world
    }

    @Test func aNumberIsFoundByHalving() {
        var secrets: Set<Int> = []
        for seed in 0..<200 as Range<UInt64> {
            var world = begun(NumberGuessing(limit: 20), seed: seed)
            #expect(world.secret == begun(NumberGuessing(limit: 20), seed: seed).secret)
            secrets.insert(world.secret)
            var (low, high, turns) = (1, 20, 0)
            while true {
                turns += 1
                let guess = (low + high) / 2
                let step = world.step("I say 3, no: \(guess)!")
                if step.isDone {
                    #expect(guess == world.secret && step.reward == 1)
                    break
                }
                #expect(step.reward == 0)
                if step.observation == "higher\n" { low = guess + 1 } else { high = guess - 1 }
            }
            #expect(turns <= 5)
        }
        #expect(secrets == Set(1...20))
        var world = begun(NumberGuessing(limit: 20))
        #expect(world.step("no idea") == EnvironmentStep("a number of 1 to 20, please\n"))
        #expect(world.step(String(repeating: "9", count: 5000)).observation == "lower\n")
    }

    @Test func aGoalIsReached() {
        for seed in 0..<100 as Range<UInt64> {
            var world = begun(GridWorld(size: 3), seed: seed)
            #expect(world.place != world.goal)
            var done = false
            for _ in 0..<4 where !done {
                let (place, goal) = (world.place, world.goal)
                let word =
                    place.column != goal.column
                    ? place.column < goal.column ? "East" : "west" : place.row < goal.row ? "south" : "north"
                let step = world.step("north? no, go \(word).")
                done = step.isDone
                #expect(done == (world.place == goal) && step.reward == (done ? 1 : 0))
            }
            #expect(done)
        }
        var world = begun(GridWorld(size: 2))
        let place = world.place
        #expect(world.step("where am I?").observation.hasPrefix("you: \(place.column),\(place.row) goal: "))
        for _ in 0..<5 { _ = world.step("northwest") }
        #expect(world.place == place)
    }

    @Test(arguments: [
        ("calc(1+2*3)", "7\n"), ("so calc(2) then calc( (1+2) * -3 )", "-9\n"), ("calc(1/4)", "0.25\n"),
        ("calc(1/0)", "error\n"), ("calc(1+)", "error\n"), ("calc(2", "error\n"), ("calc(--2)", "error\n"),
        ("calc()", "error\n"), ("calc(1.2.3)", "error\n"), ("calc(10-3-2)", "5\n"), ("calc(é)", "error\n"),
        ("calc(" + String(repeating: "(", count: 200), "error\n"),
        ("calc(" + String(repeating: "9", count: 400) + ")", "error\n"),
    ])
    func theCalculatorCalculates(text: String, answer: String) {
        var tool = CalculatorTool()
        #expect(tool.step(text) == EnvironmentStep(answer))
    }

    @Test func aTurnWithoutACallIsTheLast() {
        var tool = CalculatorTool()
        #expect(tool.step("it is 7") == .done() && tool.step("") == .done())
    }

    @Test func environmentsHaveNames() throws {
        for name in ["calculator", "guess:limit=20", "grid:size=4", "guess:limit=9"] {
            #expect(try BuiltInEnvironment(named: name).description == name)
        }
        #expect(try BuiltInEnvironment(named: "guess") == .guess(limit: 20))
        for name in ["", "chess", "calculator:x=1", "guess:", "guess:size=3", "guess:limit=1", "grid:size=x"] {
            #expect(throws: UsageError.self) { try BuiltInEnvironment(named: name) }
        }
    }
}

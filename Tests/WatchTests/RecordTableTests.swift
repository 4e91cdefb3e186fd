import Foundation
import JSON
import Testing
import Watch

@Suite struct RecordTableTests {
    private func table(_ lines: String) throws -> (table: RecordTable, text: String) {
        let fixture = try RunFolderFixture()
        try fixture.write(lines, to: fixture.run.metrics)
        let table = try RecordTable(fixture.run.metrics)
        // Lines that come meanwhile, with members that no column has, are not of this table.
        try fixture.write(lines + "{\"later\":1}\n", to: fixture.run.metrics)
        var bytes: [UInt8] = []
        try table.writeCSV { bytes += $0 }
        return (table, try #require(String(validating: bytes, as: UTF8.self)))
    }

    @Test func aLineIsARowAndAMemberAColumn() throws {
        let (table, text) = try table(
            """
            {"step":1,"loss":0.1,"skipped":null}
            {"step":2,"loss":1e-7,"tags":["a","b"],"extra":true}
            no record
            {"loss":-3,"step":9007199254740993,"loss":4}

            """)
        #expect(
            text == """
                step,loss,skipped,tags,extra\r
                1,0.1,,,\r
                2,1e-07,,"[""a"",""b""]",true\r
                9007199254740993,-3,,,\r

                """)
        #expect(table.rowCount == 3 && table.unreadable == 1)
    }

    @Test func textsKeepWhatSeparatesFields() throws {
        let (_, text) = try table(
            """
            {"a,b":"x\\"y","c":"two\\r\\nlines","d":"\\r","e":" plain "}

            """)
        #expect(text == "\"a,b\",c,d,e\r\n\"x\"\"y\",\"two\r\nlines\",\"\r\", plain \r\n")
    }

    @Test func columnsHaveTypes() throws {
        let fixture = try RunFolderFixture()
        try fixture.write(
            """
            {"step":1,"loss":1,"none":null,"b":true,"ids":[1,2],"lists":[[1],[]],"mixed":1,"tags":{"a":1},"s":"x","any":["y"]}
            {"loss":0.5,"step":2,"ids":[],"lists":[[0.5,null]],"mixed":"two","tags":{"b":"\\""},"s":null,"any":[{"z":1}]}

            """, to: fixture.run.metrics)
        var bytes: [UInt8] = []
        try RecordTable(fixture.run.metrics).writeTypedLines { bytes += $0 }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(
            lines == [
                #"[["step","integer"],["loss","number"],["none","none"],["b","bool"],["ids","list<integer>"],"#
                    + #"["lists","list<list<number>>"],["mixed","json"],["tags","json"],["s","text"],["any","list<json>"]]"#,
                #"[1,1,null,true,[1,2],[[1],[]],"1","{\"a\":1}","x",["\"y\""]]"#,
                #"[2,0.5,null,null,[],[[0.5,null]],"\"two\"","{\"b\":\"\\\"\"}",null,["{\"z\":1}"]]"#,
            ])
    }

    /// What is nested without end is one text of JSON.
    @Test func typesAreBounded() {
        var value = JSONValue.integer(1)
        for _ in 0..<50 { value = .array([value]) }
        let type = ColumnType(of: value)
        #expect(type.name == "list<list<list<list<json>>>>")
        #expect(type.json(value).hasPrefix(#"[[[["[["#))
        #expect(ColumnType(of: [1, true]).name == "list<json>" && ColumnType.none.joined(with: .text) == .text)
    }

    @Test func whatIsNoRunsRecordIsRefused() throws {
        let many = (0...RecordTable.mostColumns).map { "\"m\($0)\":1" }.joined(separator: ",")
        #expect(throws: TableError.self) { try table("{\(many)}\n") }
        #expect(try table("").text == "\r\n")
    }
}

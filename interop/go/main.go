// The Go clients through the contract of ../README.md: main franz-go | sarama | kafka-go [groups | transactions]. And as members of the
// churn test: main member ..., as clients under faults: main faults ..., and as the exactly-once test's copier: main copier ...
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "member" {
		os.Exit(runMember(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "faults" {
		os.Exit(runFaults(os.Args[2:]))
	}
	if len(os.Args) == 8 && os.Args[1] == "copier" {
		os.Exit(runCopier(os.Args[2:]))
	}
	makers := map[string]func(string) (Adapter, error){"franz-go": newFranz, "sarama": newSarama, "kafka-go": newKafkaGo}
	groups := len(os.Args) == 3 && os.Args[2] == "groups"
	transactions := len(os.Args) == 3 && os.Args[2] == "transactions"
	if len(os.Args) != 2 && !groups && !transactions || makers[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: go-clients franz-go | sarama | kafka-go [groups | transactions]")
		os.Exit(2)
	}
	if transactions {
		os.Exit(runTransactionsOf(os.Args[1]))
	}
	if groups {
		os.Exit(runGroupsOf(os.Args[1]))
	}
	adapter, err := makers[os.Args[1]](os.Getenv("BOOTSTRAP"))
	if err != nil {
		fmt.Println("FAIL connect", err)
		os.Exit(1)
	}
	os.Exit(runContract(os.Args[1], adapter))
}

package alerting

import (
	"cmp"
	"maps"
	"slices"
)

// maxCached limits the sum of groups and members in the cache. The groups of the last transaction may exceed it.
const maxCached = 1 << 17

// groupCache holds groups as the store has them, so that the engine does not read a window with all of its members
// for each hit. That works because only the engine changes groups.
type groupCache struct {
	groups map[GroupID]cachedGroup
	size   int
	uses   int64
}

type cachedGroup struct {
	*Group
	size int
	used int64
}

// takeOut takes a group out of the cache and returns it: the transaction may change it and then fail.
func (c *groupCache) takeOut(id GroupID) (*Group, bool) {
	g, cached := c.groups[id]
	if cached {
		delete(c.groups, id)
		c.size -= g.size
	}
	return g.Group, cached
}

// put puts the groups of a transaction that was committed into the cache, and removes those that it has deleted.
func (c *groupCache) put(groups map[GroupID]*Group) {
	if c.groups == nil {
		c.groups = map[GroupID]cachedGroup{}
	}
	c.uses++
	for id, g := range groups {
		c.takeOut(id)
		if g != nil {
			one := cachedGroup{g, 1 + len(g.Members), c.uses}
			c.size += one.size
			c.groups[id] = one
		}
	}
	if c.size > maxCached {
		c.shrink()
	}
}

// shrink removes groups until the cache is half full, those first that were not used for longest.
func (c *groupCache) shrink() {
	oldest := slices.SortedFunc(maps.Keys(c.groups), func(a, b GroupID) int { return cmp.Compare(c.groups[a].used, c.groups[b].used) })
	for _, id := range oldest {
		if c.size <= maxCached/2 || c.groups[id].used == c.uses {
			return
		}
		c.takeOut(id)
	}
}

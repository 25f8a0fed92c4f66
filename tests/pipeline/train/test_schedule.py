from paperlora.pipeline.config import TrainConfig
from paperlora.pipeline.train import schedule


def test_each_epoch_takes_every_example_once_in_an_order_of_its_own():
    taken = [i for step in range(15) for i in schedule.batch_indices(10, step, 2, seed=0)]
    epochs = [taken[:10], taken[10:20], taken[20:]]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert taken[:2] == schedule.batch_indices(10, 0, 2, seed=0)
    assert schedule.batch_indices(10, 0, 2, seed=1) != taken[:2]


def test_the_rate_warms_up_and_falls_towards_zero():
    config = TrainConfig(max_steps=10, warmup_steps=2, learning_rate=1.0)
    rates = [schedule.learning_rate(step, config) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 0.2
